export { CopySecurityGroupPage as default } from "./create";
