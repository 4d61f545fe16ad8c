/** What is measured of the cluster: every relay has the same figures, but for some seconds. */
import type { Cluster, ClusterLane } from "../views.ts";
import type { Reading } from "./readings.ts";

export const CLUSTER_READINGS: readonly Reading<Cluster>[] = [
  {
    name: "waybill_cluster_relays",
    help: "Relays of the cluster by state: running, or missing, which were not heard of for 15 seconds. Absent while what they tell cannot be read.",
    kind: "gauge",
    byLabel: {
      label: "state",
      values: ({ relays, isStale }) => {
        if (isStale) return {};
        const missing = relays.filter(({ isMissing }) => isMissing).length;
        return { running: relays.length - missing, missing };
      },
    },
  },
  {
    name: "waybill_cluster_lanes_without_relay",
    help: "Partitions of destinations that no relay delivers. Above 0 for a moment when relays start, stop or die.",
    kind: "gauge",
    value: ({ lanes }) => lanes.filter(({ mode }) => mode === "unowned").length,
  },
];

export const CLUSTER_LANE_READINGS: readonly Reading<ClusterLane>[] = [
  {
    name: "waybill_cluster_lag_events",
    help: "Events of a destination's partition that are still to be delivered, whichever relay has it. Absent while none has.",
    kind: "gauge",
    value: ({ pendingEvents }) => pendingEvents ?? undefined,
  },
];
