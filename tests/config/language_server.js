// SPDX-License-Identifier: Apache-2.0
//
// Opens memory.yaml files in a YAML language server, as an editor does, and looks at what it says:
//
//     node language_server.js SERVER SCHEMA accepted FILE... refused FILE...
//
// SERVER: the server's program (yaml-language-server), driven over stdio. Each accepted file must
// have no diagnostic, each refused one at least one. The schema is found by the modeline of the
// file where it has one, else by the name given here. Exit codes: 0 all so, 1 not.
"use strict";
const { spawn } = require("child_process");
const fs = require("fs");
const path = require("path");

const [server, schema, ...words] = process.argv.slice(2);
const folder = path.dirname(path.resolve(schema));
const files = [];
let wanted = "";
for (const word of words) {
    if (word === "accepted" || word === "refused") wanted = word;
    else files.push({ path: word, wanted, uri: "" });
}

const child = spawn(process.execPath, [server, "--stdio"], { stdio: ["pipe", "pipe", "ignore"] });
let input = Buffer.alloc(0);
let hover = null;

function send(message) {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function stop(code, text) {
    console.log(text);
    child.kill();
    process.exit(code);
}

function openFiles() {
    files.forEach((file, i) => {
        // Beside the schema, so that the modeline finds it; nothing is written.
        file.uri = "file://" + path.join(folder, `opened-${i}.yaml`);
        const text = fs.readFileSync(file.path, "utf8");
        send({
            method: "textDocument/didOpen",
            params: { textDocument: { uri: file.uri, languageId: "yaml", version: 1, text } },
        });
    });
}

function finish() {
    const failures = files
        .filter((file) => (file.wanted === "accepted") !== (file.said.length === 0))
        .map((file) => `${file.path}: ${file.wanted}, yet: ${file.said[0] || "nothing is said"}`);
    if (!hover || !hover.includes("What all queries")) failures.push("hovering explains no key");
    const refused = files.filter((file) => file.wanted === "refused").length;
    stop(
        failures.length > 0 ? 1 : 0,
        failures.join("\n") ||
            `language server: ${files.length - refused} files valid, ${refused} refused, ` +
                "hovering explains limit_bytes",
    );
}

function take(message) {
    if (message.id !== undefined && message.method !== undefined) {
        const answer = message.method === "workspace/configuration" ? configuration(message) : null;
        send({ id: message.id, result: answer });
    } else if (message.id === 1) {
        send({ method: "initialized", params: {} });
        send({ method: "workspace/didChangeConfiguration", params: { settings: { yaml: yaml() } } });
        openFiles();
    } else if (message.id === 2) {
        hover = JSON.stringify(message.result);
        finish();
    } else if (message.method === "textDocument/publishDiagnostics") {
        const file = files.find((one) => one.uri === message.params.uri);
        if (file) file.said = message.params.diagnostics.map((one) => one.message);
        if (files.every((one) => one.said) && hover === null) {
            hover = "";
            const line = fs.readFileSync(files[0].path, "utf8").split("\n")
                .findIndex((text) => text.startsWith("limit_bytes:"));
            send({
                id: 2,
                method: "textDocument/hover",
                params: { textDocument: { uri: files[0].uri }, position: { line, character: 2 } },
            });
        }
    }
}

function yaml() {
    const schemas = { ["file://" + path.resolve(schema)]: "opened-*.yaml" };
    return { validate: true, hover: true, schemas, schemaStore: { enable: false } };
}

function configuration(message) {
    return message.params.items.map((item) => (item.section === "yaml" ? yaml() : {}));
}

child.stdout.on("data", (chunk) => {
    input = Buffer.concat([input, chunk]);
    for (;;) {
        const end = input.indexOf("\r\n\r\n");
        if (end < 0) return;
        const length = Number(/Content-Length: (\d+)/.exec(input.toString("latin1", 0, end))[1]);
        if (input.length < end + 4 + length) return;
        const message = JSON.parse(input.toString("utf8", end + 4, end + 4 + length));
        input = input.subarray(end + 4 + length);
        take(message);
    }
});
child.on("exit", () => stop(1, "the language server ended"));
setTimeout(() => stop(1, "the language server did not answer within two minutes: " +
    files.filter((one) => !one.said).map((one) => one.path)), 120000);
send({
    id: 1,
    method: "initialize",
    params: {
        processId: process.pid,
        rootUri: "file://" + folder,
        capabilities: {
            workspace: { configuration: true },
            textDocument: { publishDiagnostics: {}, hover: { contentFormat: ["plaintext"] } },
        },
    },
});
