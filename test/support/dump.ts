// Prints every row of every table of a database, the queue's included, as text: what a look from outside would find.
import { Client } from 'pg';

const client = new Client(JSON.parse(process.argv[2] ?? '{}'));
await client.connect();
const { rows: tables } = await client.query<{ name: string }>(
  `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
);
for (const { name } of tables) {
  const { rows } = await client.query<{ line: string }>(`SELECT t::text AS line FROM ${name} AS t`);
  for (const { line } of rows) process.stdout.write(`${name} ${line}\n`);
}
await client.end();
