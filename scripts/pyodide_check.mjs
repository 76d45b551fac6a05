// Loads Pyodide from the folder that is given and runs pyodide_calls.py in it.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const folder = process.argv[2];
const here = dirname(fileURLToPath(import.meta.url));
const entry = join(folder, "node_modules", "pyodide", "pyodide.mjs");
const { loadPyodide } = await import(pathToFileURL(entry));

const pyodide = await loadPyodide();
const mounted = { "/packages": join(folder, "packages"), "/src": join(here, "..", "src") };
for (const [place, root] of Object.entries(mounted)) {
  pyodide.FS.mkdirTree(place);
  pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root }, place);
}
pyodide.runPython(
  "import sys; sys.path[:0] = ['/src', '/packages']; sys.dont_write_bytecode = True",
);
let failed = 1;
try {
  failed = await pyodide.runPythonAsync(readFileSync(join(here, "pyodide_calls.py"), "utf8"));
} catch (error) {
  console.error(error.message);
}
// Timers that Python cancelled are still waited for by Node.js.
process.exit(failed ? 1 : 0);
