import { render } from "solid-js/web";

import { App } from "./views/App";
import "./views/style.css";

render(() => <App />, document.body);
