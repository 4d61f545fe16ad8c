import type { Finding } from "./finding.ts";
import { lineOf, type SourceFile } from "./source-file.ts";

/** LaunchDarkly's memory mode, summaries and flags; and Segment's fast path. */
const SEGMENT_FAST_PATH = "packages/relay/src/intake/segment/";
const ALLOWED: readonly string[] = ["packages/relay/src/launchdarkly/", SEGMENT_FAST_PATH];
const RELAY = "packages/relay/src/";
/** Also names of our own: a log's segment, a dead letter. Only a text counts, not a key. */
const COMMON_NAMES = new Set(["segment", "letter"]);

export interface VendorNamesOptions {
  /** As the registry has them. */
  readonly vendors: readonly string[];
  /** What `packages/vendors` exports of one vendor only. */
  readonly ownedExports: ReadonlySet<string>;
}

/** Where the relay names a vendor: as a text or a key, or by importing what is one vendor's own. */
export function vendorNames(source: SourceFile, options: VendorNamesOptions): readonly Finding[] {
  if (!source.path.startsWith(RELAY) || ALLOWED.some((prefix) => source.path.startsWith(prefix))) return [];
  const named = source.nodes.flatMap(({ node, parent }) => {
    const name = nameOf(node, parent);
    if (name === undefined || !options.vendors.includes(name.text)) return [];
    if (!name.isText && COMMON_NAMES.has(name.text)) return [];
    return [finding(source, node.start, `the vendor's name "${name.text}"`)];
  });
  return [...named, ...importsOfOneVendor(source, options)];
}

/** Exports of the index of `packages/vendors` that come from one vendor's file or have its name. */
export function ownedExportsOf(index: SourceFile, vendors: readonly string[]): ReadonlySet<string> {
  const owned = index.module.staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ moduleRequest, exportName }) => {
      const { name } = exportName;
      if (name === null) return [];
      const folders = (moduleRequest?.value ?? "").replace(/\.ts$/, "").split("/");
      const isOwned = vendors.some(
        (vendor) => folders.includes(vendor) || name.toLowerCase().startsWith(vendor.toLowerCase()),
      );
      return isOwned ? [name] : [];
    }),
  );
  return new Set(owned);
}

interface Name {
  readonly text: string;
  readonly isText: boolean;
}

type Node = SourceFile["nodes"][number]["node"];

function nameOf(node: Node, parent: Node | undefined): Name | undefined {
  if (node.type === "Literal" && typeof node.value === "string") {
    // `record["segment"]` is a field.
    const isField = parent?.type === "MemberExpression" && parent.property === node;
    return { text: node.value, isText: !isField };
  }
  if (node.type === "TemplateElement" && parent?.type === "TemplateLiteral" && parent.quasis.length === 1)
    return { text: node.value.raw, isText: true };
  const isKey = node.type === "Identifier" && parent?.type === "Property" && parent.key === node && !parent.computed;
  return isKey ? { text: node.name, isText: false } : undefined;
}

function importsOfOneVendor(source: SourceFile, { vendors, ownedExports }: VendorNamesOptions): readonly Finding[] {
  const { staticImports, staticExports } = source.module;
  return [...staticImports, ...staticExports].flatMap(({ start, entries, ...rest }) => {
    const requests = "moduleRequest" in rest ? [rest.moduleRequest] : entries.map(requestOf);
    const specifier = requests[0]?.value ?? "";
    if (vendors.some((vendor) => specifier.startsWith(`@waybill/vendors/${vendor}`)))
      return [finding(source, start, `an import of ${specifier}`)];
    if (specifier !== "@waybill/vendors") return [];
    return entries.flatMap(({ importName }) =>
      importName.name !== null && ownedExports.has(importName.name)
        ? [finding(source, start, `an import of ${importName.name}, which is one vendor's own`)]
        : [],
    );
  });
}

function requestOf(entry: object): { readonly value: string } | undefined {
  return "moduleRequest" in entry ? ((entry.moduleRequest ?? undefined) as { value: string } | undefined) : undefined;
}

function finding(source: SourceFile, offset: number, what: string): Finding {
  const line = lineOf(source.text, offset);
  const remedy = "take it from the vendor's adapter in the registry";
  return { check: "vendors", file: source.path, line, what, remedy };
}
