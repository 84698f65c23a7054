// SPDX-License-Identifier: MIT
//
// http.js PORT: keep-alive "hello" on Node's http module; port 0 for any, the one it got is printed.
'use strict';
const server = require('http').createServer((_, res) => {
  res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 5 });
  res.end('hello');
});
server.listen(+process.argv[2] || 0, '127.0.0.1', () => console.log(server.address().port));
