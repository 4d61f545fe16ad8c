/**
 * A list of rows of one height of which only those in view are in the document, so that a hundred
 * thousand cost what thirty do.
 */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** Rows beyond the edges, so that a scroll shows no gap. */
const OVERSCAN = 8;
/** Browsers cut off elements that are higher. */
const MAX_HEIGHT_PX = 8_000_000;

export interface VirtualListProps {
  readonly label: string;
  readonly count: number;
  readonly rowHeightPx: number;
  readonly row: (index: number) => ComponentChildren;
  /** The end has come into view. */
  readonly onEnd?: () => void;
}

export function VirtualList({ label, count, rowHeightPx, row, onEnd }: VirtualListProps): JSX.Element {
  const element = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const read = (): void => {
    const { scrollTop = 0, clientHeight = 0 } = element.current ?? {};
    setView((before) =>
      before.top === scrollTop && before.height === clientHeight ? before : { top: scrollTop, height: clientHeight },
    );
  };
  useEffect(() => {
    const observer = new ResizeObserver(read);
    if (element.current !== null) observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  const height = Math.min(count * rowHeightPx, MAX_HEIGHT_PX);
  const first = Math.max(0, Math.floor(view.top / rowHeightPx) - OVERSCAN);
  const last = Math.min(count, Math.ceil((view.top + view.height) / rowHeightPx) + OVERSCAN);
  useEffect(() => {
    if (last >= count) onEnd?.();
  }, [last, count, onEnd]);
  const indexes = Array.from({ length: Math.max(0, last - first) }, (_, offset) => first + offset);
  return (
    <div class="virtual" ref={element} onScroll={read} tabIndex={0} role="list" aria-label={label}>
      <div class="virtual-room" role="presentation" style={{ height: `${height}px` }}>
        {indexes.map((index) => (
          <div
            key={index}
            class="virtual-row"
            role="listitem"
            aria-posinset={index + 1}
            aria-setsize={count}
            style={{ height: `${rowHeightPx}px`, top: `${index * rowHeightPx}px` }}
          >
            {row(index)}
          </div>
        ))}
      </div>
    </div>
  );
}
