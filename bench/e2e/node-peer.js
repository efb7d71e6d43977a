// A peer of webtorrent in Node, with WebRTC. The arguments are one of
//
//   seed PATH TRACKER   seeds a file on a tracker
//   leech MAGNET        downloads the only file of a torrent, by a magnet link
//   leech PATH          by a .torrent file
//
// When the file is seeded or has arrived it writes a line of JSON: the .torrent
// file (base64) and the magnet link, or the file's SHA-256 in hex. Then it stays
// in the swarm until standard input ends, and leaves as a user's client does.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import WebTorrent from 'webtorrent'

const [what, from, tracker] = process.argv.slice(2)

// As in the page: peers meet through the tracker alone, and over WebRTC alone.
const client = new WebTorrent({
  dht: false,
  lsd: false,
  utPex: false,
  utp: false,
  natUpnp: false,
  natPmp: false,
  webSeeds: false,
  tracker: { rtcConfig: { iceServers: [] } }
})
client.on('error', error => { throw error })

function watch (torrent) {
  torrent.on('warning', warning => console.error(String(warning)))
  torrent.on('error', error => { throw error })
  torrent.on('wire', wire => {
    if (wire.type !== 'webrtc') throw new Error(`a connection that is not WebRTC: ${wire.type}`)
  })
  return torrent
}

const actions = {
  async seed () {
    const torrent = watch(client.seed(from, { announceList: [[tracker]] }))
    await once(torrent, 'seed')
    return { torrentFile: Buffer.from(torrent.torrentFile).toString('base64'), magnet: torrent.magnetURI }
  },

  async leech () {
    const torrent = watch(client.add(from))
    await once(torrent, 'done')
    return createHash('sha256').update(Buffer.from(await torrent.files[0].arrayBuffer())).digest('hex')
  }
}

console.log(JSON.stringify(await actions[what]()))
process.stdin.resume()
await once(process.stdin, 'end')
await new Promise(resolve => client.destroy(resolve))
process.exit()
