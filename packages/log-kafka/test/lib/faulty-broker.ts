/** A broker in front of another one, whose produce calls go as a test wants. */
import type { Broker, Produced, ProduceRequest } from "@waybill/log-kafka";

export type OnProduce = (request: ProduceRequest, produce: () => Promise<Produced>) => Promise<Produced>;

export function withProduce(broker: Broker, onProduce: OnProduce): Broker {
  return withCalls(broker, {
    produce: (request) => onProduce(request, () => broker.produce(request)),
  });
}

/** The same with other calls. */
export function withCalls(broker: Broker, calls: Partial<Broker>): Broker {
  return new Proxy(broker, {
    get: (target, name) =>
      (calls as Record<string | symbol, unknown>)[name] ??
      (Reflect.get(target, name) as (...given: unknown[]) => unknown).bind(target),
  });
}
