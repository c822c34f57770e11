import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "node_modules", "src/api/sallyport_gen.ts", "vite.config.ts", "eslint.config.js"] },
  ...tseslint.configs.recommendedTypeChecked,
  hooks.configs.flat["recommended-latest"],
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { attributes: false } }],
      "no-restricted-properties": [
        "error",
        { object: "window", property: "sessionStorage", message: "nothing of a session is stored" },
        {
          object: "window",
          property: "localStorage",
          message: "only src/shell/preferences.ts stores, and only preferences",
        },
      ],
      "no-restricted-globals": ["error", "sessionStorage", "localStorage"],
    },
  },
  { files: ["src/shell/preferences.ts"], rules: { "no-restricted-properties": "off", "no-restricted-globals": "off" } },
);
