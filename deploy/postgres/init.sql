-- One database and one role per service: none can read another's tables.
CREATE ROLE intake LOGIN PASSWORD 'intake';
CREATE ROLE router LOGIN PASSWORD 'router';
CREATE ROLE notifier LOGIN PASSWORD 'notifier';
CREATE DATABASE intake OWNER intake;
CREATE DATABASE router OWNER router;
CREATE DATABASE notifier OWNER notifier;
REVOKE CONNECT ON DATABASE intake, router, notifier FROM PUBLIC;
