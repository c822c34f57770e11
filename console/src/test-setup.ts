import { cleanup, configure } from "@testing-library/react";
import { afterEach } from "vitest";

afterEach(cleanup);

// What the Testing Library does by itself only where afterEach is global.
Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

// Roles are slow to find in jsdom, and a machine that builds meanwhile is slow, too: what comes, comes.
configure({ asyncUtilTimeout: 30_000 }); // ms

// jsdom has no layout to scroll, and says so at each try.
window.scrollTo = () => {};
