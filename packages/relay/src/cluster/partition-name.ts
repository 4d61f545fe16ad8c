/** The parts of `production/3`. */
export function partitionOf(name: string): { readonly environment: string; readonly partition: number } | undefined {
  const [, environment, partition] = /^([^/]+)\/(\d{1,5})$/.exec(name) ?? [];
  return environment === undefined ? undefined : { environment, partition: Number(partition) };
}
