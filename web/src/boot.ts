// Runs before the first paint, so that a chosen theme does not flash.
import { apply, chosen } from './theme';

apply(chosen());
