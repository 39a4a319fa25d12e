import { testing } from './index';
export import LocalKinesis = testing.LocalKinesis;
