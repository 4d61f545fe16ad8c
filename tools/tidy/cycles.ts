import type { Finding } from "./finding.ts";
import type { ImportGraph } from "./import-graph.ts";

/**
 * Groups of files that reach each other by imports: strongly connected components of more than one
 * file.
 */
export function importCycles({ edges }: ImportGraph): readonly Finding[] {
  const imports = new Map([...edges].map(([file, to]) => [file, to.filter(({ isStarted }) => isStarted !== true)]));
  return componentsOf(imports).flatMap((files) => {
    const [first] = files;
    if (first === undefined || files.length === 1) return [];
    const line = imports.get(first)?.find(({ to }) => to !== first && files.includes(to))?.line ?? 1;
    const remedy = "move what both need into a file of its own, or hand it over as a parameter";
    return [{ check: "cycles", file: first, line, what: `an import cycle: ${files.join(", ")}`, remedy } as const];
  });
}

interface Visit {
  readonly index: number;
  low: number;
  isOpen: boolean;
}

/** Tarjan's algorithm; each component sorted, the components by their first file. */
function componentsOf(edges: ImportGraph["edges"]): readonly (readonly string[])[] {
  const visits = new Map<string, Visit>();
  const open: string[] = [];
  const found: (readonly string[])[] = [];
  const visit = (file: string): Visit => {
    const own: Visit = { index: visits.size, low: visits.size, isOpen: true };
    visits.set(file, own);
    open.push(file);
    for (const { to } of edges.get(file) ?? []) {
      const other = visits.get(to) ?? visit(to);
      if (other.isOpen) own.low = Math.min(own.low, other.low);
    }
    if (own.low === own.index) {
      const component = open.splice(open.indexOf(file));
      for (const member of component) (visits.get(member) as Visit).isOpen = false;
      found.push(component.toSorted());
    }
    return own;
  };
  for (const file of edges.keys()) if (!visits.has(file)) visit(file);
  return found.toSorted((a, b) => ((a[0] ?? "") < (b[0] ?? "") ? -1 : 1));
}
