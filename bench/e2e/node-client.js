// The npm bittorrent-tracker client, without WebRTC, against a running
// tracker whose URL is the first argument. Two peers, a seeder and a leecher,
// come, are counted, are scraped, change and go. The exit code is 0 if every
// reply was as it should be.
//
// Both peers have the same URL, so the library lets them share one socket: two
// peer ids on one connection, the usual case of this client. The scrapes use a
// second URL, thus a second connection.
//
// With a second argument it writes a line when both have come, and goes on when it
// has read one.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import Client from 'bittorrent-tracker/client'

const url = process.argv[2]
const infoHash = randomBytes(20).toString('hex')
const unknownHash = randomBytes(20).toString('hex')

// numwant is 0 throughout: no offers are made, thus no WebRTC is needed. wrtc
// is never called, but without it the library refuses WebSocket trackers.
function newPeer (announce) {
  const peer = new Client({ infoHash, announce, peerId: randomBytes(20), port: 6881, wrtc: {} })
  for (const event of ['warning', 'error']) {
    peer.on(event, problem => { throw problem })
  }
  return peer
}

// counts runs one announce and resolves to the counts in its reply.
async function counts (peer, announce) {
  const replied = once(peer, 'update', { signal: AbortSignal.timeout(10_000) })
  announce()
  const [{ announce: from, complete, incomplete }] = await replied
  assert.equal(from, url)
  return { complete, incomplete }
}

async function scraped (peer, infoHashes) {
  const replied = once(peer, 'scrape', { signal: AbortSignal.timeout(10_000) })
  peer.scrape({ infoHash: infoHashes })
  const [{ infoHash, complete, incomplete }] = await replied
  return { infoHash, complete, incomplete }
}

const seeder = newPeer(url)
const leecher = newPeer(url)
const observer = newPeer(url + '/any/path?query=1')

assert.deepEqual(await counts(seeder, () => seeder.start({ left: 0, numwant: 0 })),
  { complete: 1, incomplete: 0 }, 'the seeder comes')
assert.deepEqual(await counts(leecher, () => leecher.start({ left: 1000, numwant: 0 })),
  { complete: 1, incomplete: 1 }, 'the leecher comes')
assert.deepEqual(await scraped(observer, [infoHash]),
  { infoHash, complete: 1, incomplete: 1 }, 'a scrape tells both')
if (process.argv[3]) {
  console.log('pause')
  await once(process.stdin, 'data')
  assert.deepEqual(await scraped(observer, [infoHash]),
    { infoHash, complete: 1, incomplete: 1 }, 'a scrape after the pause tells both')
}
assert.deepEqual(await scraped(observer, [unknownHash]),
  { infoHash: unknownHash, complete: 0, incomplete: 0 }, 'a scrape of a torrent that nobody announced')
assert.deepEqual(await counts(leecher, () => leecher.update({ left: 500, numwant: 0 })),
  { complete: 1, incomplete: 1 }, 'an update changes nothing')
assert.deepEqual(await counts(leecher, () => leecher.complete({ left: 0, numwant: 0 })),
  { complete: 2, incomplete: 0 }, 'the leecher has completed')
assert.deepEqual(await counts(seeder, () => seeder.stop({ left: 0, numwant: 0 })),
  { complete: 1, incomplete: 0 }, 'the seeder stops')
assert.deepEqual(await scraped(observer, [infoHash]),
  { infoHash, complete: 1, incomplete: 0 }, 'a scrape after the stop')

// The leecher leaves with the shared connection and without a word.
for (const peer of [seeder, leecher]) peer.destroy()
observer.destroy()
