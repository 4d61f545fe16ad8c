/** The chart library with its style, in a file of its own: the first paint does not wait for it. */
import "uplot/dist/uPlot.min.css";

export { default as Plot } from "uplot";
