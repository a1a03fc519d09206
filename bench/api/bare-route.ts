// The floor of every request: the same framework with one route that answers a fixed document, checked by nothing.
import { fastify } from 'fastify';

const [bytes = '0'] = process.argv.slice(2);
const text = JSON.stringify({ data: 'x'.repeat(Number(bytes)) });
const app = fastify();
app.get('/', (_request, reply) => reply.type('application/json').send(text));
process.send?.({ url: await app.listen({ host: '127.0.0.1', port: 0 }) });
process.once('message', () => void app.close().then(() => process.disconnect?.()));
process.once('disconnect', () => process.exit());
