import { createRequire } from "node:module";

// The tools are the console's.
const require = createRequire(new URL("../../console/package.json", import.meta.url));
const tseslint = require("typescript-eslint");

export default tseslint.config(...tseslint.configs.recommended, tseslint.configs.disableTypeChecked);
