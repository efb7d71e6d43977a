// A browser peer. It has two functions, seed and leech; the test calls one of
// them once per page and passes all information as arguments.
import WebTorrent from '/webtorrent.min.js'

// Peers meet through the tracker alone, and on this machine alone: with a
// STUN server that cannot be reached, every offer would wait five seconds.
const client = new WebTorrent({
  dht: false,
  lsd: false,
  utPex: false,
  webSeeds: false,
  tracker: { rtcConfig: { iceServers: [] } }
})

// failed rejects when the client or the torrent gives up for good.
// Warnings do not end the tracker client: they go to the log.
function failed (torrent) {
  torrent.on('warning', warning => console.warn(String(warning)))
  return new Promise((resolve, reject) => {
    torrent.on('error', reject)
    client.on('error', reject)
  })
}

// seed fetches a file from url, seeds it on the tracker and returns the
// .torrent file (base64) and the magnet link under which others find it.
window.seed = async ({ url, name, tracker }) => {
  const file = new File([await (await fetch(url)).arrayBuffer()], name)
  const torrent = client.seed(file, { name, announceList: [[tracker]] })
  const seeding = new Promise(resolve => torrent.on('seed', resolve))
  await Promise.race([seeding, failed(torrent)])
  return { torrentFile: toBase64(torrent.torrentFile), magnet: torrent.magnetURI }
}

// leech downloads the only file of a torrent, given as a .torrent file
// (base64) or as a magnet link, and returns the file's SHA-256 in hex. The
// tracker's address comes with the torrent.
window.leech = async ({ torrentFile, magnet }) => {
  const torrent = client.add(magnet || fromBase64(torrentFile))
  const done = new Promise(resolve => torrent.on('done', resolve))
  await Promise.race([done, failed(torrent)])
  const content = await torrent.files[0].arrayBuffer()
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', content)))
}

function toBase64 (bytes) {
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''))
}

function fromBase64 (text) {
  return Uint8Array.from(atob(text), char => char.charCodeAt(0))
}

function toHex (bytes) {
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')
}
