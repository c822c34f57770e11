export { EditOutboundRulesPage as default } from "./edit";
