-- Reconciler's webhook, on the shop's side: which messages were acted upon. In the shop's own database, beside its orders.
CREATE TABLE reconciler_webhook (
  id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  order_no VARCHAR(150) NOT NULL,
  transaction_id VARCHAR(64) NOT NULL,
  received_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
