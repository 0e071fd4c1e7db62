/** Starts the page. */

import { startOffline } from './offline.js';
import './page.js';

startOffline();
