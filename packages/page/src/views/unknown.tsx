import type { JSX } from "preact";
import { Link } from "../router/navigation.tsx";
import { hrefOf } from "../router/route.ts";
import { Empty } from "../ui/notes.tsx";
import { Title } from "./title.tsx";

export function UnknownView(): JSX.Element {
  return (
    <>
      <Title text="Not found" />
      <Empty title="There is nothing at this address.">
        <p>
          The link may be wrong or of another version. <Link href={hrefOf("overview")}>Go to the overview</Link>.
        </p>
      </Empty>
    </>
  );
}
