import { cleanup } from "@testing-library/react";
import { afterEach } from "vitest";

afterEach(cleanup);

// What the Testing Library does by itself only where afterEach is global.
Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
