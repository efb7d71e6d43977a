// Runs one of the two trackers of npm, WebSocket alone: node node-tracker.mjs PACKAGE PORT
const [name, port] = process.argv.slice(2)
const Server = name === 'bittorrent-tracker'
  ? (await import('bittorrent-tracker/server')).default
  : (await import(name)).default

const server = new Server({ http: false, udp: false, ws: true, stats: false })
server.on('error', err => { console.error(err.message) })
server.listen(Number(port), '127.0.0.1')
