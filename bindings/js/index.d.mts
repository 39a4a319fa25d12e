export * from './index.js';
import * as vegas from './index.js';
export default vegas;
