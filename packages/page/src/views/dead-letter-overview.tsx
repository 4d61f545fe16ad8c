/** Where dead letters wait. */
import type { JSX } from "preact";
import { live } from "../api/live.ts";
import { useStore } from "../browser/store.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf } from "../router/route.ts";
import { Empty, Loading } from "../ui/notes.tsx";
import { Count } from "../ui/values.tsx";
import { Title } from "./title.tsx";

const SHOWN_MAX = 200;

export function DeadLetterOverview(): JSX.Element {
  const { overview } = useStore(live);
  const places = (overview?.environments ?? [])
    .flatMap(({ name, destinations }) => destinations.map((destination) => ({ environment: name, destination })))
    .filter(({ destination }) => destination.deadLetters > 0)
    .sort((one, other) => other.destination.deadLetters - one.destination.deadLetters)
    .slice(0, SHOWN_MAX);
  return (
    <>
      <Title text="Dead letters" />
      <p class="lead">
        Events that a vendor refused for good. They are kept with the reason until they are retried, discarded, or
        retention removes them.
      </p>
      {overview === undefined ? <Loading what="the destinations" /> : null}
      {overview !== undefined && places.length === 0 ? (
        <Empty title="No dead letter waits at any destination.">
          <p>Those that were retried or discarded are listed at their destination.</p>
        </Empty>
      ) : null}
      <ul class="cards two">
        {places.map(({ environment, destination }) => (
          <li class="card" key={`${environment}/${destination.name}`}>
            <div class="card-head">
              <Link
                class="name"
                href={hrefOf("deadLetters", { params: { environment, destination: destination.name } })}
              >
                {destination.name}
              </Link>
              <span class="muted">
                {destination.vendor} in {environment}
              </span>
              <span class="headline">
                <Count value={destination.deadLetters} of="dead letter" />
              </span>
            </div>
          </li>
        ))}
      </ul>
    </>
  );
}
