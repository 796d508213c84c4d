-- From a role that stays. Not `drop owned`: that takes back what the role may on other databases, too.
revoke all on {kind} {object} from {role}
