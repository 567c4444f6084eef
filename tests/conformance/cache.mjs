// Runs the cases of npm `http-cache-tests` against one cache, and prints which pass: see `cache.sh`.
//
// node cache.mjs PACKAGE URL: PACKAGE is the folder of the unpacked package, URL the address of the cache in front of
// its server. The last line of the output is JSON: passed and all cases by kind, and the required cases that fail.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import path from 'node:path'

const [folder, url] = process.argv.slice(2)
const load = file => import(pathToFileURL(path.resolve(folder, file)))
const { runTests, getResults } = await load('client/runner.mjs')
const { default: suites } = await load('tests/index.mjs')
const fetch = createRequire(path.resolve(folder, 'package.json'))('node-fetch')

await runTests(suites, fetch, false, url)
const results = getResults()
const counts = {}
const failed = []
for (const test of suites.flatMap(suite => suite.tests).filter(test => !test.browser_only)) {
  const kind = test.kind ?? 'required'
  const passed = results[test.id] === true
  counts[kind] ??= { passed: 0, of: 0 }
  counts[kind].of += 1
  counts[kind].passed += passed
  if (!passed) {
    console.log(`${kind}\t${test.id}\t${(results[test.id] ?? ['not run']).join(': ')}`)
    if (kind === 'required') failed.push(test.id)
  }
}
console.log(JSON.stringify({ ...counts, failed: failed.sort() }))
