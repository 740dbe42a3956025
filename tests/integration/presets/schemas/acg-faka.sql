-- acg-faka with its default prefix, made from what is known of it.
CREATE TABLE acg_pay (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(16) NOT NULL, code VARCHAR(32) NOT NULL,
  handle VARCHAR(64) NOT NULL, cost DECIMAL(10,3) NOT NULL DEFAULT 0, cost_type TINYINT NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE acg_user (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, recharge DECIMAL(14,2) UNSIGNED NOT NULL DEFAULT 0.00
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE acg_commodity (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(255) NOT NULL, delivery_way TINYINT UNSIGNED NOT NULL DEFAULT 0,
  shared_id INT UNSIGNED NULL, stock INT UNSIGNED NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE acg_card (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, commodity_id INT UNSIGNED NOT NULL, secret VARCHAR(760) NOT NULL,
  order_id INT UNSIGNED NULL, status TINYINT UNSIGNED NOT NULL DEFAULT 0, purchase_time DATETIME NULL,
  KEY commodity_id (commodity_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE acg_order (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  owner INT UNSIGNED NOT NULL DEFAULT 0,
  user_id INT UNSIGNED NOT NULL DEFAULT 0,
  trade_no CHAR(19) NOT NULL,
  amount DECIMAL(10,2) UNSIGNED NOT NULL,
  commodity_id INT UNSIGNED NOT NULL,
  card_id INT UNSIGNED NULL,
  card_num INT UNSIGNED NOT NULL,
  pay_id INT UNSIGNED NOT NULL,
  create_time DATETIME NOT NULL,
  create_ip VARCHAR(64) NOT NULL,
  create_device TINYINT NOT NULL,
  pay_time DATETIME NULL,
  status TINYINT UNSIGNED NOT NULL DEFAULT 0,
  secret LONGTEXT NULL,
  password VARCHAR(32) NULL,
  contact VARCHAR(32) NULL,
  delivery_status TINYINT UNSIGNED NOT NULL DEFAULT 0,
  pay_url VARCHAR(1024) NULL,
  coupon_id INT UNSIGNED NULL,
  cost DECIMAL(10,2) UNSIGNED NULL,
  `from` INT UNSIGNED NULL,
  premium DECIMAL(10,2) UNSIGNED NULL,
  widget TEXT NULL,
  leave_message TEXT NULL,
  rent DECIMAL(10,2) UNSIGNED NULL,
  race VARCHAR(32) NULL,
  rebate DECIMAL(10,2) UNSIGNED NULL,
  pay_cost DECIMAL(10,2) UNSIGNED NULL,
  sku JSON NULL,
  divide_amount DECIMAL(10,2) UNSIGNED NULL,
  substation_user_id INT UNSIGNED NULL,
  request_no CHAR(19) NULL,
  UNIQUE KEY trade_no (trade_no), UNIQUE KEY request_no (request_no), KEY commodity_id (commodity_id), KEY card_id (card_id),
  KEY pay_id (pay_id), KEY create_time (create_time), KEY create_ip (create_ip), KEY contact (contact),
  KEY delivery_status (delivery_status), KEY coupon_id (coupon_id), KEY `from` (`from`), KEY substation_user_id (substation_user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
