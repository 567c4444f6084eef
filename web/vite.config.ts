import { defineConfig } from "vite";

// The names of the built files never change, since the host embeds them by name. No browser keeps them: the admin
// marks all that it says as `no-store`.
export default defineConfig({
    base: "./",
    build: {
        outDir: "dist",
        target: "es2022",
        // The host serves three files. Nothing is inlined as `data:`, since the content security policy forbids that.
        assetsInlineLimit: 0,
        modulePreload: false,
        rollupOptions: {
            output: {
                entryFileNames: "dashboard.js",
                assetFileNames: "dashboard[extname]",
            },
        },
    },
    // `npm run dev` beside a running host.
    server: { proxy: { "/v1": "http://127.0.0.1:9090", "/readyz": "http://127.0.0.1:9090" } },
});
