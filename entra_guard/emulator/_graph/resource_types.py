"""The properties of Graph's resource types: which names a query may use.

Source: the metadata document of Microsoft Graph v1.0 (https://graph.microsoft.com/v1.0/$metadata), with the
properties that its directory types inherit, and those that Graph returns for agent identities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final


@dataclass(frozen=True)
class ResourceType:
    """A resource type of Graph.

    Attributes:
        name: The name in Graph's metadata, without its namespace, such as `user`.
        values: Properties with one value, or none.
        lists: Properties with a list of values.
        navigation: Properties that lead to other resources, for `$expand`.
        is_open: Resources may have properties that the type does not declare, such as directory extensions.
        guids: The values that are GUIDs rather than strings: a filter has them without quotes.
    """

    name: str
    values: frozenset[str]
    lists: frozenset[str]
    navigation: frozenset[str]
    is_open: bool
    guids: frozenset[str] = frozenset()

    @property
    def full_name(self) -> str:
        return f"microsoft.graph.{self.name}"

    @property
    def directory_name(self) -> str:
        """The name in error messages of the directory, such as `User`."""
        return self.name[:1].upper() + self.name[1:]

    @cached_property
    def _declared(self) -> dict[str, str]:
        return {name.lower(): name for name in (*self.values, *self.lists, *self.navigation)}

    def find(self, name: str) -> str | None:
        """Return the declared spelling of a property; None if the type has no such property.

        Graph compares the names of properties without regard to case.
        """
        return self._declared.get(name.lower())

    def empty(self, name: str) -> Any:
        """Return what Graph returns for a property that has no value."""
        return [] if name in self.lists else None


def resource_type(context: str) -> ResourceType:
    """Return the type of the resources in a collection.

    Args:
        context: The collection as `@odata.context` names it, such as `users` or
            `applications('...')/federatedIdentityCredentials`.
    """
    return _OF_COLLECTION[context.rpartition("/")[2]]


def type_of_row(row: dict[str, Any], declared: ResourceType) -> ResourceType:
    """Return the type of one resource: a collection of directory objects has several."""
    name = str(row.get("@odata.type", "")).removeprefix("#microsoft.graph.")
    return next((kind for kind in _OF_COLLECTION.values() if kind.name == name), declared)


def _type(
    name: str, *, values: str, lists: str, navigation: str, is_open: bool, guids: str = ""
) -> ResourceType:
    return ResourceType(
        name,
        frozenset(values.split()),
        frozenset(lists.split()),
        frozenset(navigation.split()),
        is_open,
        frozenset(guids.split()),
    )


_OF_COLLECTION: Final = {
    "users": _type(
        "user",
        values="aboutMe accountEnabled ageGroup authorizationInfo birthday city companyName "
        "consentProvidedForMinor country createdDateTime creationType customSecurityAttributes "
        "deletedDateTime department deviceEnrollmentLimit displayName employeeHireDate employeeId "
        "employeeLeaveDateTime employeeOrgData employeeType externalUserState "
        "externalUserStateChangeDateTime faxNumber givenName hireDate id identityParentId "
        "isManagementRestricted isResourceAccount jobTitle lastPasswordChangeDateTime "
        "legalAgeGroupClassification mail mailboxSettings mailNickname mobilePhone mySite officeLocation "
        "onPremisesDistinguishedName onPremisesDomainName onPremisesExtensionAttributes "
        "onPremisesImmutableId onPremisesLastSyncDateTime onPremisesSamAccountName "
        "onPremisesSecurityIdentifier onPremisesSyncEnabled onPremisesUserPrincipalName passwordPolicies "
        "passwordProfile postalCode preferredDataLocation preferredLanguage preferredName print "
        "securityIdentifier showInAddressList signInActivity signInSessionsValidFromDateTime state "
        "streetAddress surname usageLocation userPrincipalName userType",
        lists="assignedLicenses assignedPlans businessPhones identities imAddresses interests "
        "licenseAssignmentStates onPremisesProvisioningErrors otherMails pastProjects provisionedPlans "
        "proxyAddresses responsibilities schools serviceProvisioningErrors skills",
        navigation="activities adhocCalls agreementAcceptances appRoleAssignments authentication calendar "
        "calendarGroups calendars calendarView chats cloudClipboard cloudPCs contactFolders contacts "
        "createdObjects dataSecurityAndGovernance deviceManagementTroubleshootingEvents directReports "
        "drive drives employeeExperience events extensions followedSites inferenceClassification insights "
        "joinedTeams licenseDetails mailFolders managedAppRegistrations managedDevices manager memberOf "
        "messages oauth2PermissionGrants onenote onlineMeetings onPremisesSyncBehavior outlook "
        "ownedDevices ownedObjects people permissionGrants photo photos planner presence registeredDevices "
        "scopedRoleMemberOf settings solutions sponsorOf sponsors teamwork todo transitiveMemberOf",
        is_open=True,
    ),
    "groups": _type(
        "group",
        values="accessType allowExternalSenders autoSubscribeNewMembers classification createdDateTime "
        "deletedDateTime description displayName expirationDateTime hasMembersWithLicenseErrors "
        "hideFromAddressLists hideFromOutlookClients id isArchived isAssignableToRole isFavorite "
        "isManagementRestricted isSubscribedByMail licenseProcessingState mail mailEnabled mailNickname "
        "membershipRule membershipRuleProcessingState onPremisesDomainName onPremisesExtensionAttributes "
        "onPremisesLastSyncDateTime onPremisesNetBiosName onPremisesSamAccountName "
        "onPremisesSecurityIdentifier onPremisesSyncEnabled organizationId preferredDataLocation "
        "preferredLanguage renewedDateTime securityEnabled securityIdentifier theme uniqueName "
        "unseenConversationsCount unseenCount unseenMessagesCount visibility welcomeMessageEnabled",
        lists="assignedLabels assignedLicenses groupTypes infoCatalogs onPremisesProvisioningErrors "
        "proxyAddresses resourceBehaviorOptions resourceProvisioningOptions serviceProvisioningErrors",
        navigation="acceptedSenders appRoleAssignments calendar calendarView conversations "
        "createdOnBehalfOf drive drives events extensions groupLifecyclePolicies memberOf members "
        "membersWithLicenseErrors onenote onPremisesSyncBehavior owners permissionGrants photo photos "
        "planner rejectedSenders settings sites team threads transitiveMemberOf transitiveMembers",
        is_open=True,
    ),
    "applications": _type(
        "application",
        values="api appId applicationTemplateId authenticationBehaviors certification createdByAppId "
        "createdDateTime defaultRedirectUri deletedDateTime description disabledByMicrosoftStatus "
        "displayName groupMembershipClaims id info isDeviceOnlyAuthSupported isDisabled "
        "isFallbackPublicClient logo nativeAuthenticationApisEnabled notes oauth2RequirePostResponse "
        "optionalClaims parentalControlSettings publicClient publisherDomain requestSignatureVerification "
        "samlMetadataUrl serviceManagementReference servicePrincipalLockConfiguration signInAudience spa "
        "tokenEncryptionKeyId uniqueName verifiedPublisher web",
        lists="addIns appRoles identifierUris keyCredentials managerApplications passwordCredentials "
        "requiredResourceAccess tags",
        navigation="appManagementPolicies createdOnBehalfOf extensionProperties "
        "federatedIdentityCredentials homeRealmDiscoveryPolicies inheritablePermissions owners sponsors "
        "synchronization tokenIssuancePolicies tokenLifetimePolicies",
        is_open=True,
        guids="tokenEncryptionKeyId",
    ),
    "servicePrincipals": _type(
        "servicePrincipal",
        values="accountEnabled agentIdentityBlueprintId appDescription appDisplayName appId "
        "applicationTemplateId appOwnerOrganizationId appRoleAssignmentRequired createdByAppId "
        "createdDateTime customSecurityAttributes deletedDateTime description disabledByMicrosoftStatus "
        "displayName homepage id info isDisabled loginUrl logoutUrl notes preferredSingleSignOnMode "
        "preferredTokenSigningKeyThumbprint samlSingleSignOnSettings servicePrincipalType signInAudience "
        "tokenEncryptionKeyId verifiedPublisher",
        lists="addIns alternativeNames appRoles keyCredentials notificationEmailAddresses "
        "oauth2PermissionScopes passwordCredentials replyUrls resourceSpecificApplicationPermissions "
        "servicePrincipalNames tags",
        navigation="appManagementPolicies appRoleAssignedTo appRoleAssignments claimsMappingPolicies "
        "createdObjects delegatedPermissionClassifications endpoints federatedIdentityCredentials "
        "homeRealmDiscoveryPolicies memberOf oauth2PermissionGrants ownedObjects owners "
        "remoteDesktopSecurityConfiguration sponsors synchronization tokenIssuancePolicies "
        "tokenLifetimePolicies transitiveMemberOf",
        is_open=True,
        guids="appOwnerOrganizationId tokenEncryptionKeyId",
    ),
    "organization": _type(
        "organization",
        values="city country countryLetterCode createdDateTime defaultUsageLocation deletedDateTime "
        "displayName id mobileDeviceManagementAuthority onPremisesLastSyncDateTime onPremisesSyncEnabled "
        "partnerTenantType postalCode preferredLanguage privacyProfile state street tenantType",
        lists="assignedPlans businessPhones marketingNotificationEmails provisionedPlans "
        "securityComplianceNotificationMails securityComplianceNotificationPhones "
        "technicalNotificationMails verifiedDomains",
        navigation="branding certificateBasedAuthConfiguration extensions",
        is_open=True,
    ),
    "appRoleAssignments": _type(
        "appRoleAssignment",
        values="appRoleId createdDateTime deletedDateTime id principalDisplayName principalId "
        "principalType resourceDisplayName resourceId",
        lists="",
        navigation="",
        is_open=False,
        guids="appRoleId principalId resourceId",
    ),
    "oauth2PermissionGrants": _type(
        "oAuth2PermissionGrant",
        values="clientId consentType id principalId resourceId scope",
        lists="",
        navigation="",
        is_open=False,
    ),
    "federatedIdentityCredentials": _type(
        "federatedIdentityCredential",
        values="description id issuer name subject",
        lists="audiences",
        navigation="",
        is_open=False,
    ),
}
_OF_COLLECTION["appRoleAssignedTo"] = _OF_COLLECTION["appRoleAssignments"]
# Members of a group are users, groups and apps: Graph lets a query use the properties of each of them.
_OF_COLLECTION["directoryObjects"] = ResourceType(
    "directoryObject",
    frozenset[str]().union(*(kind.values for kind in _OF_COLLECTION.values() if kind.is_open)),
    frozenset[str]().union(*(kind.lists for kind in _OF_COLLECTION.values() if kind.is_open)),
    frozenset[str]().union(*(kind.navigation for kind in _OF_COLLECTION.values() if kind.is_open)),
    is_open=True,
)
