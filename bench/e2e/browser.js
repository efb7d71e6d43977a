// Drives headless Chromium for the Go tests. The arguments are the path of the
// Chromium program and the SHA-256, in base64, of a public key. Chromium accepts
// certificates with that key from any issuer. Each line on standard input is a
// command, each line on standard output its reply, one at a time and in order:
//
//   {"do":"open","page":"a","url":U}                 opens U as page a, in a browser profile of its own
//   {"do":"call","page":"a","name":N,"argument":A}   calls the function N of page a, waits for its result
//   {"do":"close","page":"a"}                        closes page a
//
// Each command also has "milliseconds", the time that it may take. A reply is
// {"result":…} or {"error":"…"}. An uncaught exception in a page is
// the error of that page's close. Logs of pages go to standard error. The end of
// standard input closes the browser at once.
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const [program, acceptedKey] = process.argv.slice(2)
const browser = await chromium.launch({
  executablePath: program,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--ignore-certificate-errors-spki-list=' + acceptedKey,
    // Candidates carry plain addresses of this machine, not mDNS names that nobody would resolve,
    // and the loopback address counts, should the machine have no other.
    '--disable-features=WebRtcHideLocalIpsWithMdns', '--allow-loopback-in-peer-connection'
  ]
})

const pages = new Map() // name -> { page, context, exceptions }

const commands = {
  async open ({ page: name, url }) {
    const context = await browser.newContext()
    const page = await context.newPage()
    const exceptions = []
    page.on('console', message => console.error(`page ${name}: ${message.text()}`))
    page.on('pageerror', error => exceptions.push(error.stack || String(error)))
    pages.set(name, { page, context, exceptions })
    await page.goto(url, { waitUntil: 'load' })
  },

  async call ({ page: name, name: func, argument }) {
    return pages.get(name).page.evaluate(([func, argument]) => window[func](argument), [func, argument])
  },

  async close ({ page: name }) {
    const { context, exceptions } = pages.get(name)
    pages.delete(name)
    await context.close()
    if (exceptions.length > 0) throw new Error(`uncaught in page ${name}: ${exceptions.join('\n')}`)
  }
}

function timeLimit ({ do: what, milliseconds }) {
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`not done: ${what}, after ${milliseconds} ms`)), milliseconds).unref()
  })
}

const lines = createInterface({ input: process.stdin })
lines.once('close', () => browser.close())
for await (const line of lines) {
  const command = JSON.parse(line)
  let reply
  try {
    reply = { result: await Promise.race([commands[command.do](command), timeLimit(command)]) }
  } catch (error) {
    reply = { error: error.stack || String(error) }
  }
  process.stdout.write(JSON.stringify(reply) + '\n')
}
await browser.close()
