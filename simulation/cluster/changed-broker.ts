import type { Broker } from "@waybill/log-kafka";

/** The same connection but for some calls. */
export function changed(broker: Broker, changes: Partial<Broker>): Broker {
  return new Proxy(broker, {
    get: (target, name) => {
      const change = changes[name as keyof Broker];
      if (change !== undefined) return change;
      const value = target[name as keyof Broker] as (...args: readonly unknown[]) => unknown;
      return value.bind(target);
    },
  });
}
