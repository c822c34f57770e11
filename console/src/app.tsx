import { I18nProvider } from "@cloudscape-design/components/i18n";
import messages from "@cloudscape-design/components/i18n/messages/all.en";
import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, type ComponentType } from "react";
import { HashRouter, Navigate, Route, Routes } from "react-router";
import { queryClient } from "./api/query";
import { SessionGate } from "./session";
import { NotificationsProvider } from "./shell/notifications";
import { LoadingPage, NotFoundPage } from "./shell/page";
import { PreferencesProvider } from "./shell/preferences";
import { TopBar } from "./shell/top-bar";

// One line per page. Each is a chunk of its own, so that the first one is small.
const pages: [path: string, load: () => Promise<{ default: ComponentType }>][] = [
  ["/SecurityGroups", () => import("./pages/security-groups/list")],
  ["/CreateSecurityGroup", () => import("./pages/security-groups/create")],
  ["/CopySecurityGroup/:id", () => import("./pages/security-groups/copy")],
  ["/SecurityGroups/:id/inbound", () => import("./pages/security-groups/edit-inbound")],
  ["/SecurityGroups/:id/outbound", () => import("./pages/security-groups/edit-outbound")],
  ["/Instances", () => import("./pages/instances/list")],
  ["/LaunchInstance", () => import("./pages/instances/launch")],
  ["/Instances/:id", () => import("./pages/instances/detail")],
  ["/SecurityGroups/:id", () => import("./pages/security-groups/detail")],
  ["/SecurityGroups/:id/replace", () => import("./pages/security-groups/replace")],
  ["/StaleRules/:vpc", () => import("./pages/security-groups/stale")],
  ["/Instances/:id/ChangeSecurityGroups", () => import("./pages/instances/change-security-groups")],
  ["/NetworkInterfaces", () => import("./pages/network-interfaces/list")],
  ["/NetworkInterfaces/:id", () => import("./pages/network-interfaces/detail")],
  ["/CreateNetworkInterface", () => import("./pages/network-interfaces/create")],
  ["/NetworkInterfaces/:id/ChangeSecurityGroups", () => import("./pages/network-interfaces/change-security-groups")],
  ["/PrefixLists", () => import("./pages/prefix-lists/list")],
  ["/PrefixLists/:id", () => import("./pages/prefix-lists/detail")],
  ["/PrefixLists/:id/modify", () => import("./pages/prefix-lists/modify")],
  ["/CreatePrefixList", () => import("./pages/prefix-lists/create")],
  ["/Vpcs", () => import("./pages/vpcs/list")],
  ["/Vpcs/:id", () => import("./pages/vpcs/detail")],
  ["/CreateVpc", () => import("./pages/vpcs/create")],
  ["/Subnets", () => import("./pages/subnets/list")],
  ["/Subnets/:id", () => import("./pages/subnets/detail")],
  ["/CreateSubnet", () => import("./pages/subnets/create")],
  ["/PeeringConnections", () => import("./pages/peering-connections/list")],
  ["/PeeringConnections/:id", () => import("./pages/peering-connections/detail")],
  ["/CreatePeeringConnection", () => import("./pages/peering-connections/create")],
  ["/Search", () => import("./pages/search/search")],
  ["/Why", () => import("./pages/why/why")],
];
const routes = pages.map(([path, load]) => [path, lazy(load)] as const);

// Cloudscape's own English names what a screen reader would find without one: buttons that close, toggles, icons.
export function App() {
  return (
    <I18nProvider locale="en" messages={[messages]}>
      <QueryClientProvider client={queryClient}>
        <PreferencesProvider>
          <SessionGate>
            {/* Inside, so that it never sees the token of a link in the address. */}
            <HashRouter>
              <NotificationsProvider>
                <TopBar />
                <Suspense fallback={<LoadingPage />}>
                  <Routes>
                    <Route path="/" element={<Navigate to="/SecurityGroups" replace />} />
                    {routes.map(([path, Page]) => (
                      <Route key={path} path={path} element={<Page />} />
                    ))}
                    <Route path="*" element={<NotFoundPage />} />
                  </Routes>
                </Suspense>
              </NotificationsProvider>
            </HashRouter>
          </SessionGate>
        </PreferencesProvider>
      </QueryClientProvider>
    </I18nProvider>
  );
}
