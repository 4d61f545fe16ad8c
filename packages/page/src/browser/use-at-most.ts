import { useEffect, useState } from "preact/hooks";
import { after } from "./clock.ts";

/** A value that changes at most once in `ms`: for requests that follow what is live. */
export function useAtMost<T>(value: T, ms: number): T {
  const [shown, setShown] = useState(value);
  const [isResting, setIsResting] = useState(false);
  useEffect(() => {
    if (isResting || Object.is(value, shown)) return;
    setShown(() => value);
    setIsResting(true);
  }, [value, shown, isResting]);
  useEffect(() => {
    if (!isResting) return undefined;
    const timer = after(ms, () => setIsResting(false));
    return () => timer.cancel();
  }, [isResting, ms]);
  return shown;
}
