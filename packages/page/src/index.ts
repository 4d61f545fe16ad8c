/** The page that the admin port serves: what comes in, what waits and why, and what to do. */
import "./style/tokens.css";
import "./style/base.css";
import "./style/parts.css";
import "./style/views.css";
import { start } from "./start.tsx";

const element = document.getElementById("page");
if (element !== null) start(element);
