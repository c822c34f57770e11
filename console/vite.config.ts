import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The server serves what is built at /; `npm run dev` asks a running `sallyport dev` for all that is not the page's own.
const server = process.env.SALLYPORT_ENDPOINT ?? "http://127.0.0.1:4580";

export default defineConfig({
  plugins: [react()],
  // Cloudscape's messages come compiled: what compiles others would be 10 kB that nobody calls.
  resolve: {
    alias: [
      {
        find: /^@formatjs\/icu-messageformat-parser$/,
        replacement: "@formatjs/icu-messageformat-parser/lib/no-parser.js",
      },
    ],
  },
  build: {
    outDir: "dist",
    emptyOutDir: false, // a file that git knows stands there, for a checkout that was never built
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false }, // it would be an inline script
    chunkSizeWarningLimit: 1500,
  },
  server: {
    proxy: {
      "/session": server,
      "^/$": { target: server, bypass: (request) => (request.method === "POST" ? null : request.url) },
    },
  },
  test: {
    environment: "jsdom",
    globals: false,
    setupFiles: ["src/test-setup.ts"],
    testTimeout: 180_000, // ms: others build beside this, and what is looked for has its own time
    pool: "threads",
  },
});
