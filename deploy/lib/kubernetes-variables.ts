/** What Kubernetes puts into the containers of a namespace for a Service in it. */
export function variablesOf(service: string, ports: Readonly<Record<string, number>>): Record<string, string> {
  const prefix = service.toUpperCase().replaceAll("-", "_");
  const address = "10.96.0.17";
  const variables: Record<string, string> = { [`${prefix}_SERVICE_HOST`]: address };
  for (const [index, [name, port]] of Object.entries(ports).entries()) {
    const url = `tcp://${address}:${port}`;
    if (index === 0) Object.assign(variables, { [`${prefix}_SERVICE_PORT`]: `${port}`, [`${prefix}_PORT`]: url });
    variables[`${prefix}_SERVICE_PORT_${name.toUpperCase()}`] = `${port}`;
    const one = `${prefix}_PORT_${port}_TCP`;
    Object.assign(variables, {
      [one]: url,
      [`${one}_PROTO`]: "tcp",
      [`${one}_PORT`]: `${port}`,
      [`${one}_ADDR`]: address,
    });
  }
  return variables;
}
