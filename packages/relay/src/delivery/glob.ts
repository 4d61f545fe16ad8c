/**
 * Names against patterns in which `*` stands for anything, also for nothing; nothing else is
 * special.
 *
 * In one pass over the name, whatever pattern and name are: the texts between the stars are found
 * from left to right, each as early as can be (a later place would leave less for what follows),
 * and each search is that of Knuth, Morris and Pratt, which never looks back.
 */

/** As much of a string as is looked at. */
export type Text = Pick<string, "length" | "charCodeAt">;

/**
 * A text between stars, and for each place in it how much of its beginning ends there: where the
 * search goes on after a difference.
 */
interface Part {
  readonly text: string;
  readonly resume: Int32Array;
}

export function globMatcher(pattern: string): (name: Text) => boolean {
  const texts = pattern.split("*");
  const first = texts[0] as string;
  if (texts.length === 1) return (name) => name.length === first.length && isAt(first, name, 0);
  const last = texts.at(-1) as string;
  const between = texts
    .slice(1, -1)
    .filter((text) => text !== "")
    .map((text): Part => ({ text, resume: resumesOf(text) }));
  return (name) => {
    const end = name.length - last.length;
    if (end < first.length || !isAt(first, name, 0) || !isAt(last, name, end)) return false;
    let at = first.length;
    for (const part of between) {
      at = endOf(part, name, at, end);
      if (at === -1) return false;
    }
    return true;
  };
}

function isAt(text: string, name: Text, at: number): boolean {
  for (let index = 0; index < text.length; index++)
    if (name.charCodeAt(at + index) !== text.charCodeAt(index)) return false;
  return true;
}

/** Where the part first ends between `start` and `end`; -1 when it is not there. */
function endOf({ text, resume }: Part, name: Text, start: number, end: number): number {
  let matched = 0;
  for (let at = start; at < end; at++) {
    const code = name.charCodeAt(at);
    while (matched > 0 && text.charCodeAt(matched) !== code) matched = resume[matched - 1] as number;
    if (text.charCodeAt(matched) === code) matched += 1;
    if (matched === text.length) return at + 1;
  }
  return -1;
}

function resumesOf(text: string): Int32Array {
  const resume = new Int32Array(text.length);
  let matched = 0;
  for (let at = 1; at < text.length; at++) {
    while (matched > 0 && text.charCodeAt(matched) !== text.charCodeAt(at)) matched = resume[matched - 1] as number;
    if (text.charCodeAt(matched) === text.charCodeAt(at)) matched += 1;
    resume[at] = matched;
  }
  return resume;
}
