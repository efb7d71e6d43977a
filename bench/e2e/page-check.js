// Looks at a page in headless Chromium, light and dark, on a wide screen and on
// a phone's. The arguments are the path of the Chromium program, the address of
// the page, and "tracker" for the tracker's own page. It prints what is wrong,
// a line each, and nothing where all is well: findings of axe-core, errors of
// the console, pages that are wider than the screen, and figures that are not
// there without scripts. On the tracker's page it also looks for the address
// that the script fills in.
import { readFileSync } from 'node:fs'
import { chromium } from 'playwright-core'

const [program, address, kind] = process.argv.slice(2)
const axe = readFileSync('node_modules/axe-core/axe.min.js', 'utf8')
const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox', '--disable-gpu'] })

for (const colorScheme of ['light', 'dark']) {
  for (const viewport of [{ width: 1200, height: 900 }, { width: 360, height: 700 }]) {
    const where = `${colorScheme}, ${viewport.width} wide`
    // The page's own policy forbids the script of the check.
    const context = await browser.newContext({ colorScheme, viewport, bypassCSP: true })
    const page = await context.newPage()
    await page.goto(address)
    await page.evaluate(axe)
    const { violations } = await page.evaluate(() => globalThis.axe.run())
    for (const v of violations) console.log(`${where}: ${v.id}: ${v.help}: ${v.nodes.map(n => n.html).join(' ')}`)
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    if (width > viewport.width) console.log(`${where}: the page is ${width} wide`)
    await context.close()
  }
}

const context = await browser.newContext()
const page = await context.newPage()
page.on('console', message => console.log(`console: ${message.text()}`))
page.on('pageerror', error => console.log(`error: ${error}`))
await page.goto(address)
if (kind === 'tracker') {
  const shown = await page.textContent('#address')
  if (shown !== address.replace('http', 'ws').replace(/\/$/, '')) console.log(`the page shows the address ${shown}`)
  // The figures are fetched anew, which the policy must allow.
  await page.evaluate(() => fetch(location.pathname)).catch(error => console.log(`fetch: ${error}`))
}

const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage()
await plain.goto(address)
if (await plain.locator('dd').count() < 6) console.log('without scripts the figures are missing')
await browser.close()
