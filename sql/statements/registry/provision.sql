-- Makes the client's role (and schema, on a replica); repeating it changes nothing.
select ml.provision_client(%(client_id)s)
