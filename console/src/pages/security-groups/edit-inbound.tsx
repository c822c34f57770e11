export { EditInboundRulesPage as default } from "./edit";
