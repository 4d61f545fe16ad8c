/** The parts of `production/3`. */
export function partitionOf(name: string): { readonly environment: string; readonly partition: number } | undefined {
  const [, environment, partition] = /^([^/]+)\/(0|[1-9]\d{0,4})$/.exec(name) ?? [];
  return environment === undefined ? undefined : { environment, partition: Number(partition) };
}
