/** Which dead letters: also by the name and the user of their event, which are not stored apart. */
import type { DeadLetter, DeadLetterFilter, DeadLetters, Position } from "@waybill/log";
import { bytesOfNames, type EventNames, isNamed, type NamesFilter, namesOf, wantsNames } from "./event-names.ts";
import type { Turns } from "./turns.ts";

/** All that are given must hold. */
export interface DeadLetterChoice extends DeadLetterFilter, Pick<NamesFilter, "name" | "user"> {}

export interface DeadLetterReading {
  readonly from?: Position | undefined;
  readonly to?: Position | undefined;
  /** As of when there were so many marks. */
  readonly marks?: number | undefined;
  /** They may be many: others have their turn in between. */
  readonly turns: Pick<Turns, "yield">;
}

/** As {@link DeadLetters.list}. */
export async function* chosenDeadLetters(
  deadLetters: Pick<DeadLetters, "list">,
  { name, user, ...filter }: DeadLetterChoice,
  { from, to, marks, turns }: DeadLetterReading,
): AsyncGenerator<DeadLetter> {
  const names = { name, user };
  const isChosen = wantsNames(names) ? chooserOf(names) : () => true;
  for await (const dead of deadLetters.list(filter, from, to, marks)) {
    if (isChosen(dead)) yield dead;
    await turns.yield();
  }
}

function chooserOf(names: NamesFilter): (dead: DeadLetter) => boolean {
  const looksFor = bytesOfNames(names)?.toString();
  return (dead) => {
    const text = textOf(dead);
    const mayBe = looksFor === undefined || text.includes(looksFor) || dead.metadata.includes(looksFor);
    return mayBe && isNamed(text, dead.metadata, names);
  };
}

function textOf({ event }: DeadLetter): string {
  return Buffer.from(event.buffer, event.byteOffset, event.length).toString();
}

export function namesOfDead(dead: DeadLetter): EventNames {
  return namesOf(textOf(dead), dead.metadata);
}

export interface ReasonGroup {
  readonly reason: string;
  readonly waiting: number;
  /** When the first and the last one was refused, epoch ms. */
  readonly first: number;
  readonly last: number;
  /** Id of the last one. */
  readonly example: Position;
}

export interface ReasonGroups {
  readonly groups: readonly ReasonGroup[];
  /** How many have a reason that is in no group. */
  readonly others: number;
}

/** Reasons that are counted one by one while they are read: some name an id, and never end. */
const REASONS_MAX = 1_000;
const GROUPS_MAX = 100;

/** How many have which reason: the most frequent ones first. */
export async function groupedByReason(chosen: AsyncIterable<DeadLetter>): Promise<ReasonGroups> {
  const groups = new Map<string, { -readonly [K in keyof ReasonGroup]: ReasonGroup[K] }>();
  let others = 0;
  for await (const { reason, rejectedAtMs, deadLetterId } of chosen) {
    const known = groups.get(reason);
    if (known !== undefined) {
      known.waiting += 1;
      known.first = Math.min(known.first, rejectedAtMs);
      known.last = Math.max(known.last, rejectedAtMs);
      known.example = deadLetterId;
    } else if (groups.size < REASONS_MAX)
      groups.set(reason, { reason, waiting: 1, first: rejectedAtMs, last: rejectedAtMs, example: deadLetterId });
    else others += 1;
  }
  const sorted = [...groups.values()].sort((a, b) => b.waiting - a.waiting || b.last - a.last);
  for (const { waiting } of sorted.slice(GROUPS_MAX)) others += waiting;
  return { groups: sorted.slice(0, GROUPS_MAX), others };
}
