// SPDX-License-Identifier: MIT
//
// echo.js PORT: the echo server on Node's net module; port 0 for any, the one it got is printed.
'use strict';
const server = require('net').createServer({ noDelay: true }, (s) => {
  s.on('data', (d) => s.write(d));
  s.on('error', () => {});
});
server.listen({ port: +process.argv[2] || 0, host: '127.0.0.1', backlog: 4096 },
  () => console.log(server.address().port));
