/** Where a part of the configuration is in its file, and whether it may be shown. */
import { type Document, isMap, isNode, isScalar, type LineCounter, type Node } from "yaml";
import type { ConfigFault } from "./faults.ts";
import { quotedValue } from "./quoted-value.ts";

export type Path = readonly (string | number)[];

export type Place = Pick<ConfigFault, "file" | "line" | "column" | "path">;

interface PlacesOptions {
  readonly document: Document;
  readonly lines: LineCounter;
  readonly file: string;
  /** Where the text of a node came from, if not from here: it may be a secret wherever it is. */
  readonly origins: ReadonlyMap<Node, string>;
}

export class Places {
  readonly #options: PlacesOptions;

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /** The deepest node that exists: a missing key is shown at its parent. */
  of(path: Path, options?: { readonly key?: boolean }): Place {
    const { document, file, lines } = this.#options;
    const place = { file, line: 0, column: 0, path: path.join(".") };
    for (let depth = path.length; depth >= 0; depth--) {
      const node = this.#nodeAt(path.slice(0, depth), options?.key === true);
      if (node?.range === null || node?.range === undefined) continue;
      const { line, col } = lines.linePos(node.range[0]);
      return { ...place, line, column: col };
    }
    const { contents } = document;
    if (!isNode(contents) || contents.range === null || contents.range === undefined) return place;
    const { line, col } = lines.linePos(contents.range[0]);
    return { ...place, line, column: col };
  }

  /** A value for a message: as the file has it, or that it is not shown. */
  shown(path: Path, value: unknown): string {
    const node = this.#nodeAt(path, false);
    const origin = node === undefined ? undefined : this.#options.origins.get(node);
    return origin ?? quotedValue(value);
  }

  #nodeAt(path: Path, key: boolean): Node | undefined {
    const { document } = this.#options;
    if (path.length === 0) return isNode(document.contents) ? document.contents : undefined;
    const found = key ? keyNode(document, path) : document.getIn(path, true);
    return isNode(found) ? found : undefined;
  }
}

function keyNode(document: Document, path: Path): unknown {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(parent)) return undefined;
  return parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1))?.key;
}
