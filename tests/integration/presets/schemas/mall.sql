-- macrozheng/mall: only the primary key is indexed.
CREATE TABLE oms_order (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  member_id BIGINT NOT NULL,
  order_sn VARCHAR(64) NULL,
  create_time DATETIME NULL,
  total_amount DECIMAL(10,2) NULL,
  pay_amount DECIMAL(10,2) NULL,
  freight_amount DECIMAL(10,2) NULL,
  pay_type INT(1) NULL,
  source_type INT(1) NULL,
  status INT(1) NULL,
  note VARCHAR(500) NULL,
  confirm_status INT(1) NULL,
  delete_status INT(1) NOT NULL DEFAULT 0,
  payment_time DATETIME NULL,
  modify_time DATETIME NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE pms_sku_stock (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, product_id BIGINT NULL, stock INT NULL DEFAULT 0, lock_stock INT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
